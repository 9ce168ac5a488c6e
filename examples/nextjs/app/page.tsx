import { Playground } from "./playground";

export default function Page() {
  return (
    <>
      <Playground />
      <noscript>This page calls fal.ai with fal&apos;s JavaScript client, so it needs JavaScript.</noscript>
    </>
  );
}
