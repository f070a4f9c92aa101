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
    for await (const _change of roster.changes({ types: ['USER'], signal: controller.signal, onConnect })) {
      revision.value += 1;
    }
  }

  follow().catch(() => (isLive.value = false));
  onUnmounted(() => controller.abort());
  return { isLive, revision };
}
