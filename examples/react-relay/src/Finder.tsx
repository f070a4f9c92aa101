import { Suspense, useMemo, useState } from 'react';
import { graphql, useLazyLoadQuery, useSubscription } from 'react-relay';
import { Frame } from '../../shared/react/Frame';
import type { Connection } from '../../shared/react/useConnected';
import type { FinderQuery } from './__generated__/FinderQuery.graphql';
import type { FinderSubscription } from './__generated__/FinderSubscription.graphql';
import { Profile } from './Profile';
import { Retry } from './Retry';
import { Users } from './Users';

export function Finder({ attempt, isLive, connections }: Connection & { readonly attempt: number }) {
  const { viewer } = useLazyLoadQuery<FinderQuery>(
    graphql`
      query FinderQuery {
        viewer {
          fullName
        }
      }
    `,
    {},
    { fetchKey: attempt },
  );
  const [selected, setSelected] = useState<string | null>(null);
  const [words, setWords] = useState('');
  const moves = useMoves();
  return (
    <Frame
      viewer={viewer?.fullName}
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
