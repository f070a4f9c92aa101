import { SearchUsersDocument, UsersDocument, type UserSummaryFragment } from '@roster/client';
import { useEffect, useState } from 'react';
import { useQuery, type CombinedError } from 'urql';
import { PAGE } from '../../shared/pages';
import { requestPolicyWhen } from './requestPolicy';

interface Users {
  readonly totalCount: number;
  readonly edges: { readonly node: UserSummaryFragment }[];
  readonly pageInfo: {
    readonly startCursor: string | null;
    readonly endCursor: string | null;
    readonly hasNextPage: boolean;
  };
}

interface List {
  readonly users: Users | undefined;
  readonly error: CombinedError | undefined;
  /** Shows one page more. */
  readonly more: () => void;
}

/** All users, or those whom the words find. The cache joins their pages. */
export function useUsers(words: string, isLive: boolean): List {
  const [wanted, setWanted] = useState(PAGE);
  const [after, setAfter] = useState<string | null>(null);
  const { users, error, readAgain } = usePages(words, after, isLive);

  // When users come or go, the cache forgets all pages: then they are read again from the first, as many as before.
  const isComplete = users !== undefined && (users.pageInfo.startCursor !== null || users.edges.length === 0);
  useEffect(() => {
    if (users && !isComplete) {
      setAfter(null);
    } else if (users && users.edges.length < wanted && users.pageInfo.hasNextPage) {
      setAfter(users.pageInfo.endCursor);
    }
  }, [users, isComplete, wanted]);

  // Until the first page is there again, the list that was shown stays.
  const [shown, setShown] = useState<Users>();
  if (isComplete && users !== shown) {
    setShown(users);
  }

  function more() {
    setWanted((shown?.edges.length ?? 0) + PAGE);
    if (error) {
      readAgain();
    }
  }

  return { users: shown, error, more };
}

function usePages(words: string, after: string | null, isLive: boolean) {
  const requestPolicy = requestPolicyWhen(isLive);
  const isSearch = words.trim() !== '';
  const variables = { first: PAGE, after };
  const [all, readAll] = useQuery({ query: UsersDocument, variables, pause: isSearch, requestPolicy });
  const [found, readFound] = useQuery({
    query: SearchUsersDocument,
    variables: { ...variables, query: words },
    pause: !isSearch,
    requestPolicy,
  });
  return isSearch
    ? { users: found.data?.searchUsers, error: found.error, readAgain: readFound }
    : { users: all.data?.users, error: all.error, readAgain: readAll };
}
