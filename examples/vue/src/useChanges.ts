import { onUnmounted, ref } from 'vue';
import { roster } from '../../shared/roster';

/** Follows the changes of users. `revision` is another number whenever something is to be read again. */
export function useChanges() {
  const isLive = ref(false);
  const revision = ref(0);
  const controller = new AbortController();

  async function follow() {
    const onConnect = () => {
      isLive.value = true;
      revision.value += 1; // what has changed before
    };
    const onDisconnect = () => (isLive.value = false);
    const { signal } = controller;
    for await (const _change of roster.changes({ types: ['USER'], signal, onConnect, onDisconnect })) {
      revision.value += 1;
    }
  }

  follow().catch(() => (isLive.value = false));
  onUnmounted(() => controller.abort());
  return { isLive, revision };
}
