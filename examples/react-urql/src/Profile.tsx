import {
  formErrors,
  SetUserAvatarDocument,
  UpdateUserDocument,
  UserDocument,
  type FormErrors,
  type UserQuery,
} from '@roster/client';
import { useState, type FormEvent } from 'react';
import { useMutation, useQuery } from 'urql';
import { Picture } from './Picture';

type User = NonNullable<UserQuery['user']>;

const FIELDS = { firstName: 'First name', lastName: 'Last name', position: 'Position', phone: 'Phone' } as const;

export function Profile({ id }: { id: string }) {
  const [{ data, error }] = useQuery({ query: UserDocument, variables: { by: { id } } });
  const [result, update] = useMutation(UpdateUserDocument);
  if (error) {
    return <p role="alert">{error.message}</p>;
  }
  if (!data?.user) {
    return <p>{data && 'No longer here'}</p>;
  }
  const { user } = data;
  const errors = formErrors(result.data?.updateUser);
  const others = [...errors.form, ...(errors.fields['expectedVersion'] ?? [])];
  const save = (values: Record<string, string>) =>
    void update({ input: { ...values, id: user.id, expectedVersion: user.version } });
  return (
    <section>
      <h2>{user.fullName}</h2>
      {/* A new form for each version: it shows what others have changed meanwhile. */}
      <Form key={user.version} user={user} fields={errors.fields} onSave={save} />
      <p id="errors" role="alert">
        {result.error?.message} {others.map(({ message }) => message).join(' ')}
      </p>
      <Avatar user={user} />
    </section>
  );
}

interface FormProps {
  readonly user: User;
  readonly fields: FormErrors['fields'];
  readonly onSave: (values: Record<string, string>) => void;
}

function Form({ user, fields, onSave }: FormProps) {
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const values = new FormData(event.currentTarget);
    onSave(Object.fromEntries(Object.keys(FIELDS).map((name) => [name, String(values.get(name))])));
  }

  return (
    <form id="profile" onSubmit={submit}>
      <fieldset disabled={!user.viewerCan.update}>
        {Object.entries(FIELDS).map(([name, label]) => (
          <label key={name}>
            {label}
            <input name={name} defaultValue={user[name as keyof typeof FIELDS] ?? ''} />
            <span role="alert">{fields[name]?.map(({ message }) => message).join(' ')}</span>
          </label>
        ))}
        <button>Save</button>
      </fieldset>
    </form>
  );
}

function Avatar({ user }: { user: User }) {
  const [{ data, error }, setAvatar] = useMutation(SetUserAvatarDocument);
  const [name, setName] = useState('');

  function upload(avatar: File | undefined) {
    if (avatar) {
      setName(avatar.name);
      void setAvatar({ input: { id: user.id, avatar } });
    }
  }

  const messages = data?.setUserAvatar?.errors.map(({ message }) => message).join(' ');
  return (
    <label>
      Picture <Picture url={user.avatarUrl} />
      <input
        id="avatar"
        type="file"
        accept="image/png,image/jpeg"
        disabled={!user.viewerCan.update}
        onChange={(event) => upload(event.target.files?.[0])}
      />
      <span role="alert">
        {messages && `${name}: ${messages}`} {error?.message}
      </span>
    </label>
  );
}
