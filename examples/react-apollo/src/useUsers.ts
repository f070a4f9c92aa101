import { useQuery } from '@apollo/client/react';
import { SearchUsersDocument, UsersDocument } from '@roster/client';
import { useEffect } from 'react';
import { PAGE, sizeOfAll } from '../../shared/pages';

/** All users, or those whom the words find. The cache joins their pages. */
export function useUsers(words: string, revision: number) {
  const isSearch = words.trim() !== '';
  const all = useQuery(UsersDocument, { variables: { first: PAGE }, skip: isSearch });
  const found = useQuery(SearchUsersDocument, { variables: { first: PAGE, query: words }, skip: !isSearch });
  const users = isSearch ? found.data?.searchUsers : all.data?.users;
  const { error, refetch } = isSearch ? found : all;

  const first = sizeOfAll(users?.edges.length ?? 0);
  useEffect(() => {
    refetch({ first }).catch(() => undefined); // `error` has it
  }, [refetch, revision]);

  const next = { variables: { first: PAGE, after: users?.pageInfo.endCursor ?? null } };
  const more = () => void (isSearch ? found.fetchMore(next) : all.fetchMore(next));
  return { users, error, more };
}
