export {
  type HeadersInput,
  type SignedDelivery,
  type Verified,
  type VerifyFailure,
  type VerifyOptions,
  verifyWebhook,
} from "./verify.ts";
export { type JwksOptions, type KeySet, type KeySetFetcher, createJwks } from "./key-set.ts";
