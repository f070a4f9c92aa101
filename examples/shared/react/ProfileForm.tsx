import { useState, type FormEvent } from 'react';
import { FIELDS, messagesOf, type Field, type Outcome } from '../form';
import { Picture } from './Picture';

type User = Readonly<Record<Field, string | null | undefined>> & {
  readonly id: string;
  readonly version: number;
  readonly fullName: string;
  readonly avatarUrl: string | null | undefined;
  readonly viewerCan: { readonly update: boolean };
};

interface ProfileFormProps {
  /** Undefined while the user is read. Null if they cannot be seen any more. */
  readonly user: User | null | undefined;
  readonly error?: Error | null | undefined;
  readonly saved: Outcome;
  readonly uploaded: Outcome;
  readonly onSave: (values: Record<Field, string>, expectedVersion: number) => void;
  readonly onUpload: (avatar: File) => void;
}

export function ProfileForm({ user, error, saved, uploaded, onSave, onUpload }: ProfileFormProps) {
  if (error) {
    return <p role="alert">{error.message}</p>;
  }
  if (!user) {
    return <p>{user === null && 'No longer here'}</p>;
  }
  return (
    <section>
      <h2>{user.fullName}</h2>
      {/* A new form for each version: it shows what others have changed meanwhile. */}
      <Form key={user.version} user={user} saved={saved} onSave={onSave} />
      <Avatar user={user} uploaded={uploaded} onUpload={onUpload} />
    </section>
  );
}

function Form({ user, saved, onSave }: Pick<ProfileFormProps, 'saved' | 'onSave'> & { user: User }) {
  const messages = messagesOf(saved);

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    onSave(valuesOf(event.currentTarget), user.version);
  }

  return (
    <form id="profile" onSubmit={submit}>
      <fieldset disabled={!user.viewerCan.update}>
        {(Object.keys(FIELDS) as Field[]).map((name) => (
          <label key={name}>
            {FIELDS[name]}
            <input name={name} defaultValue={user[name] ?? ''} />
            <span role="alert">{messages.field(name)}</span>
          </label>
        ))}
        <button>Save</button>
      </fieldset>
      <p role="alert">{messages.other}</p>
    </form>
  );
}

/** The values of a form. */
function valuesOf(form: HTMLFormElement): Record<Field, string> {
  const values = new FormData(form);
  const value = (name: string) => [name, String(values.get(name))];
  return Object.fromEntries(Object.keys(FIELDS).map(value)) as Record<Field, string>;
}

function Avatar({ user, uploaded, onUpload }: Pick<ProfileFormProps, 'uploaded' | 'onUpload'> & { user: User }) {
  const [name, setName] = useState('');
  const message = messagesOf(uploaded).other;

  function upload(avatar: File | undefined) {
    if (avatar) {
      setName(avatar.name);
      onUpload(avatar);
    }
  }

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
      <span role="alert">{message && `${name}: ${message}`}</span>
    </label>
  );
}
