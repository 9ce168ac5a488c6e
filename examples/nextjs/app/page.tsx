import { Playground } from "./playground";

export default function Page() {
  return (
    <>
      <Playground />
      <noscript>This page needs JavaScript: it calls fal.ai with the official client.</noscript>
    </>
  );
}
