import { SearchUsersDocument, UsersDocument, type UsersQuery } from '@roster/client';
import { ref, watch, type Ref } from 'vue';
import { LARGEST_PAGE, PAGE } from '../../shared/pages';
import { roster } from '../../shared/roster';
import { useRequest } from './useRequest';

type Users = Pick<UsersQuery['users'], 'edges' | 'totalCount' | 'pageInfo'>;

/** All users, or those whom the words find: as many as are wanted, and again with each revision. */
export function useUsers(typed: Ref<string>, revision: Ref<number>) {
  const words = useSettled(typed, 150);
  const wanted = ref(PAGE);
  watch(words, () => (wanted.value = PAGE));
  const { result: users, error, sendAgain } = useRequest(() => {
    void revision.value;
    return readUsers(words.value, wanted.value);
  });

  function more() {
    wanted.value = (users.value?.edges.length ?? 0) + PAGE;
    if (error.value) {
      sendAgain();
    }
  }

  return { users, error, more };
}

/** Reads as many users as are wanted, in as few pages as the server allows. */
async function readUsers(words: string, wanted: number): Promise<Users> {
  const edges: Users['edges'] = [];
  let after: string | null = null;
  for (;;) {
    const first = Math.min(wanted - edges.length, LARGEST_PAGE);
    const page: Users = await readPage(words, { first, after });
    edges.push(...page.edges);
    if (edges.length >= wanted || !page.pageInfo.hasNextPage) {
      return { ...page, edges };
    }
    after = page.pageInfo.endCursor;
  }
}

async function readPage(words: string, page: { first: number; after: string | null }): Promise<Users> {
  return words.trim() === ''
    ? (await roster.request(UsersDocument, page)).users
    : (await roster.request(SearchUsersDocument, { ...page, query: words })).searchUsers;
}

/** A value that has not changed for some milliseconds: one search for each pause, not for each letter. */
function useSettled<T>(value: Ref<T>, milliseconds: number): Ref<T> {
  const settled = ref(value.value) as Ref<T>;
  watch(value, (latest, _before, onCleanup) => {
    const timer = setTimeout(() => (settled.value = latest), milliseconds);
    onCleanup(() => clearTimeout(timer));
  });
  return settled;
}
