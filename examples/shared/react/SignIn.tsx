import { useState, type FormEvent } from 'react';
import { roster } from '../roster';

export function SignIn({ onSignedIn }: { onSignedIn: () => void }) {
  const [error, setError] = useState('');

  async function signIn(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    try {
      const payload = await roster.signIn({ login: String(form.get('login')), password: String(form.get('password')) });
      if (payload.success) {
        onSignedIn();
      } else {
        setError(payload.errors.map(({ message }) => message).join(' '));
      }
    } catch (error) {
      setError(String(error));
    }
  }

  return (
    <form id="sign-in" onSubmit={(event) => void signIn(event)}>
      <h1>People finder</h1>
      <label>
        Email address or username <input name="login" autoComplete="username" />
      </label>
      <label>
        Password <input name="password" type="password" autoComplete="current-password" />
      </label>
      <button>Sign in</button>
      <p role="alert">{error}</p>
    </form>
  );
}
