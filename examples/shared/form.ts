import { formErrors, type Payload } from '@roster/client';

/** The fields of the form, and their labels. */
export const FIELDS = {
  firstName: 'First name',
  lastName: 'Last name',
  position: 'Position',
  phone: 'Phone',
} as const;

export type Field = keyof typeof FIELDS;

/** How a mutation ended: with a payload, which can have errors, or with an error of the whole request. */
export interface Outcome {
  readonly payload?: Pick<Payload, 'errors'> | null | undefined;
  readonly error?: Error | null | undefined;
}

/** The messages for the fields of the form, and one for everything else. */
export function messagesOf({ payload, error }: Outcome) {
  const { fields, form } = formErrors(payload);
  const messages = (errors: Pick<Payload, 'errors'>['errors']) => errors.map(({ message }) => message).join(' ');
  const field = (name: Field) => messages(fields[name] ?? []);
  const others = messages([...form, ...(fields['expectedVersion'] ?? []), ...(fields['avatar'] ?? [])]);
  return { field, other: [error?.message, others].filter(Boolean).join(' ') };
}
