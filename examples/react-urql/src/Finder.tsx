import { ChangesDocument, ViewerDocument } from '@roster/client';
import { useEffect, useState } from 'react';
import { useQuery, useSubscription } from 'urql';
import { Picture } from './Picture';
import { Profile } from './Profile';
import { roster } from './roster';
import { useUsers } from './useUsers';

export function Finder({ isLive }: { isLive: boolean }) {
  const [{ data }] = useQuery({ query: ViewerDocument });
  const [selected, setSelected] = useState<string | null>(null);
  const [typed, setTyped] = useState('');
  const words = useSettled(typed, 150);
  useSubscription({ query: ChangesDocument, variables: { types: ['USER'] } });
  return (
    <>
      <header>
        <h1>People finder</h1>
        <p>
          <span id="live">{isLive ? 'Live' : 'Connecting'}</span> <span id="viewer">{data?.viewer?.fullName}</span>{' '}
          <button id="sign-out" onClick={() => void roster.signOut()}>
            Sign out
          </button>
        </p>
      </header>
      <div className="columns">
        <section>
          <input type="search" aria-label="Search" value={typed} onChange={(event) => setTyped(event.target.value)} />
          <Users key={words} words={words} isLive={isLive} onSelect={setSelected} />
        </section>
        {selected !== null && <Profile key={selected} id={selected} />}
      </div>
    </>
  );
}

/** A value that has not changed for some milliseconds: one search for each pause, not for each letter. */
function useSettled<T>(value: T, milliseconds: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), milliseconds);
    return () => clearTimeout(timer);
  }, [value, milliseconds]);
  return settled;
}

interface UsersProps {
  readonly words: string;
  readonly isLive: boolean;
  readonly onSelect: (id: string) => void;
}

function Users({ words, isLive, onSelect }: UsersProps) {
  const { users, error, more } = useUsers(words, isLive);
  return (
    <>
      <p role="alert">{error?.message}</p>
      <p id="count">{users && `${users.edges.length} of ${users.totalCount}`}</p>
      <ul className="people">
        {users?.edges.map(({ node }) => (
          <li key={node.id}>
            <button onClick={() => onSelect(node.id)}>
              <Picture url={node.avatarUrl} />
              <span>
                {node.fullName}
                <br />
                <small>{node.position}</small>
              </span>
            </button>
          </li>
        ))}
      </ul>
      {users?.pageInfo.hasNextPage && (
        <button id="more" onClick={more}>
          More
        </button>
      )}
    </>
  );
}
