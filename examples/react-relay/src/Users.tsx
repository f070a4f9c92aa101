import { startTransition, useDeferredValue, useState } from 'react';
import { graphql, useLazyLoadQuery, usePaginationFragment } from 'react-relay';
import { PAGE, sizeOfAll } from '../../shared/pages';
import { UserList } from '../../shared/react/UserList';
import { useReadAgain } from '../../shared/react/useReadAgain';
import type { Users_all$key } from './__generated__/Users_all.graphql';
import type { Users_found$key } from './__generated__/Users_found.graphql';
import type { UsersAllQuery } from './__generated__/UsersAllQuery.graphql';
import type { UsersFoundQuery } from './__generated__/UsersFoundQuery.graphql';
import type { UsersQuery } from './__generated__/UsersQuery.graphql';

interface ListProps {
  /** Another number whenever users may be new in the list, or gone. */
  readonly revision: number;
  readonly onSelect: (id: string) => void;
}

interface UsersProps extends ListProps {
  readonly attempt: number;
  readonly words: string;
}

export function Users({ attempt, words, ...props }: UsersProps) {
  const query = useDeferredValue(words); // while users are found, the former ones are shown
  const isSearch = query.trim() !== '';
  const { all, found } = useLazyLoadQuery<UsersQuery>(
    graphql`
      query UsersQuery($query: String!, $isSearch: Boolean!) {
        ...Users_all @alias(as: "all") @skip(if: $isSearch)
        ...Users_found @alias(as: "found") @include(if: $isSearch)
      }
    `,
    { query, isSearch },
    { fetchKey: attempt, fetchPolicy: 'store-and-network' },
  );
  return (
    <>
      {all && <All all={all} {...props} />}
      {found && <Found key={query} found={found} {...props} />}
    </>
  );
}

function All({ all, revision, onSelect }: ListProps & { readonly all: Users_all$key }) {
  const { data, ...pages } = usePaginationFragment<UsersAllQuery, Users_all$key>(
    graphql`
      fragment Users_all on Query
      @refetchable(queryName: "UsersAllQuery")
      @argumentDefinitions(first: { type: "Int", defaultValue: 20 }, after: { type: "String" }) {
        users(first: $first, after: $after) @connection(key: "Users_users") {
          totalCount
          edges {
            node {
              id
              fullName
              position
              avatarUrl
            }
          }
          pageInfo {
            hasNextPage
          }
        }
      }
    `,
    all,
  );
  const { error, more } = usePages(pages, revision, data.users.edges.length);
  return <UserList users={data.users} error={error} onMore={more} onSelect={onSelect} />;
}

function Found({ found, revision, onSelect }: ListProps & { readonly found: Users_found$key }) {
  const { data, ...pages } = usePaginationFragment<UsersFoundQuery, Users_found$key>(
    graphql`
      fragment Users_found on Query
      @refetchable(queryName: "UsersFoundQuery")
      @argumentDefinitions(first: { type: "Int", defaultValue: 20 }, after: { type: "String" }) {
        searchUsers(query: $query, first: $first, after: $after) @connection(key: "Users_searchUsers") {
          totalCount
          edges {
            node {
              id
              fullName
              position
              avatarUrl
            }
          }
          pageInfo {
            hasNextPage
          }
        }
      }
    `,
    found,
  );
  const { error, more } = usePages(pages, revision, data.searchUsers.edges.length);
  return <UserList users={data.searchUsers} error={error} onMore={more} onSelect={onSelect} />;
}

interface Completion {
  readonly onComplete: (error: Error | null) => void;
}

/** What all lists of `usePaginationFragment` have. */
interface Pages {
  readonly loadNext: (count: number, options: Completion) => unknown;
  readonly refetch: (variables: { first: number }, options: Completion & { fetchPolicy: 'network-only' }) => unknown;
}

/** Reads further pages, and the list again when users may be new in it, or gone. */
function usePages({ loadNext, refetch }: Pages, revision: number, shown: number) {
  const [error, setError] = useState<Error | null>(null);
  useReadAgain(revision, () => {
    const first = sizeOfAll(shown + (error ? PAGE : 0)); // with the page that could not be read
    startTransition(() => {
      refetch({ first }, { fetchPolicy: 'network-only', onComplete: setError });
    });
  });
  return { error, more: () => void loadNext(PAGE, { onComplete: setError }) };
}
