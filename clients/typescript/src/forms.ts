import type { ErrorCode } from './generated/operations.js';

/** An error in the input of a mutation. */
export interface MutationError {
  readonly code: ErrorCode;
  readonly path: readonly string[];
  readonly message: string;
}

/** The fields of every payload of a mutation. */
export interface Payload {
  readonly success: boolean;
  readonly message: string;
  readonly errors: readonly MutationError[];
}

/** The errors of a payload, as a form shows them. */
export interface FormErrors {
  /** By the name of the field, such as `email` or `attributes.0.value`. */
  readonly fields: Readonly<Record<string, readonly MutationError[]>>;
  /** The errors that concern no field, or several. */
  readonly form: readonly MutationError[];
}

/** Sorts the errors of a payload by the fields of a form. */
export function formErrors(payload: Pick<Payload, 'errors'> | null | undefined): FormErrors {
  const fields: Record<string, MutationError[]> = {};
  const form: MutationError[] = [];
  for (const error of payload?.errors ?? []) {
    const name = error.path.slice(1).join('.');
    if (name === '') {
      form.push(error);
    } else {
      (fields[name] ??= []).push(error);
    }
  }
  return { fields, form };
}

/** Thrown by `succeeded`. */
export class PayloadError extends Error {
  override readonly name = 'PayloadError';

  constructor(readonly payload: Payload) {
    super(payload.errors.map(({ message }) => message).join('; ') || payload.message);
  }

  /** Whether one of the errors has this code. */
  has(code: ErrorCode): boolean {
    return this.payload.errors.some((error) => error.code === code);
  }
}

/** Returns a payload if its mutation succeeded, and throws a `PayloadError` if not: for programs, which have no form. */
export function succeeded<P extends Payload>(payload: P | null): P {
  if (payload === null) {
    throw new TypeError('The payload is null: see the errors of the response');
  }
  if (!payload.success) {
    throw new PayloadError(payload);
  }
  return payload;
}
