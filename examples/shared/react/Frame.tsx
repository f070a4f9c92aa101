import { useEffect, useState, type ReactNode } from 'react';
import { roster } from '../roster';

interface FrameProps {
  readonly viewer: ReactNode;
  readonly isLive: boolean;
  readonly onSearch: (words: string) => void;
  readonly users: ReactNode;
  readonly profile: ReactNode;
}

/** The page of a signed-in user. */
export function Frame({ viewer, isLive, onSearch, users, profile }: FrameProps) {
  return (
    <>
      <header>
        <h1>People finder</h1>
        <p>
          <span id="live">{isLive ? 'Live' : 'Connecting'}</span> <span id="viewer">{viewer}</span>{' '}
          <button id="sign-out" onClick={() => void roster.signOut()}>
            Sign out
          </button>
        </p>
      </header>
      <div className="columns">
        <section>
          <Search onSearch={onSearch} />
          {users}
        </section>
        {profile}
      </div>
    </>
  );
}

/** One search for each pause, not for each letter. */
function Search({ onSearch }: Pick<FrameProps, 'onSearch'>) {
  const [words, setWords] = useState('');
  useEffect(() => {
    const timer = setTimeout(() => onSearch(words), 150);
    return () => clearTimeout(timer);
  }, [words, onSearch]);
  return (
    <input type="search" aria-label="Search" value={words} onChange={(event) => setWords(event.target.value)} />
  );
}
