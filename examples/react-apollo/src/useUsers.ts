import { useQuery } from '@apollo/client/react';
import { SearchUsersDocument, UsersDocument } from '@roster/client';
import { useEffect, useState } from 'react';
import { PAGE, sizeOfAll } from '../../shared/pages';

/** All users, or those whom the words find. The cache joins their pages. */
export function useUsers(words: string, revision: number) {
  const isSearch = words.trim() !== '';
  const all = useQuery(UsersDocument, { variables: { first: PAGE }, skip: isSearch });
  const found = useQuery(SearchUsersDocument, { variables: { first: PAGE, query: words }, skip: !isSearch });
  const users = isSearch ? found.data?.searchUsers : all.data?.users;
  const { error, refetch } = isSearch ? found : all;

  const [moreError, setMoreError] = useState<Error>();
  const noMoreError = () => setMoreError(undefined);

  // With the page that could not be read.
  const first = sizeOfAll((users?.edges.length ?? 0) + (moreError ? PAGE : 0));
  useEffect(() => {
    refetch({ first }).then(noMoreError, () => undefined); // `error` has it
  }, [refetch, revision]);

  const next = { variables: { first: PAGE, after: users?.pageInfo.endCursor ?? null } };
  const more = () => void (isSearch ? found.fetchMore(next) : all.fetchMore(next)).then(noMoreError, setMoreError);
  return { users, error: error ?? moreError, more };
}
