export {
  Roster,
  type Arguments,
  type Change,
  type ChangesOptions,
  type RequestOptions,
  type RosterOptions,
  type SignInPayload,
  type WebSocketConstructor,
} from './client.js';
export { RosterError, type GraphQLErrorBody, type ResponseInfo } from './errors.js';
export { formErrors, PayloadError, succeeded, type FormErrors, type MutationError, type Payload } from './forms.js';
export * from './generated/operations.js';
export { possibleTypes } from './generated/schema.js';
export type { Json } from './json.js';
export { textOf, type Document, type Result, type Source } from './request.js';
export { memoryStorage, webStorage, type Renew, type TextStorage, type Tokens, type TokenStorage } from './session.js';
export type { WebSocketLike } from './socket.js';
export type { SubscriptionEvent, SubscriptionOptions } from './subscription.js';
