import { Suspense, useMemo, useState } from 'react';
import { graphql, useSubscription } from 'react-relay';
import { Frame } from '../../shared/react/Frame';
import type { Connection } from '../../shared/react/useConnected';
import type { FinderSubscription } from './__generated__/FinderSubscription.graphql';
import { Profile } from './Profile';
import { Retry } from './Retry';
import { Users } from './Users';
import { Viewer } from './Viewer';

export function Finder({ isLive, connections }: Connection) {
  const [selected, setSelected] = useState<string | null>(null);
  const [words, setWords] = useState('');
  const moves = useMoves();
  return (
    <Frame
      viewer={<Viewer connections={connections} />}
      isLive={isLive}
      onSearch={setWords}
      users={
        <Retry when={connections}>
          {(attempt) => (
            <Suspense>
              <Users attempt={attempt} words={words} revision={connections + moves} onSelect={setSelected} />
            </Suspense>
          )}
        </Retry>
      }
      profile={
        selected !== null && (
          <Retry key={selected} when={connections}>
            {(attempt) => (
              <Suspense>
                <Profile attempt={attempt} id={selected} />
              </Suspense>
            )}
          </Retry>
        )
      }
    />
  );
}

/** Follows the changes of users, which update the store. Returns how often users may have become new, or gone. */
function useMoves(): number {
  const [moves, setMoves] = useState(0);
  useSubscription<FinderSubscription>(
    useMemo(
      () => ({
        subscription: graphql`
          subscription FinderSubscription {
            changes(types: [USER]) {
              kind
              node {
                ... on User {
                  ...ProfileFields @alias
                }
              }
            }
          }
        `,
        variables: {},
        onNext: (data) => {
          if (data?.changes.kind !== 'UPDATED') {
            setMoves((count) => count + 1);
          }
        },
      }),
      [],
    ),
  );
  return moves;
}
