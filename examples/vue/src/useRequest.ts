import { ref, shallowRef, watchEffect } from 'vue';

/**
 * The result of a request, which is sent again when something changes that it has used before its first `await`, and by
 * `sendAgain`.
 */
export function useRequest<T>(request: () => Promise<T>) {
  const result = shallowRef<T>();
  const error = shallowRef<Error>();
  const attempt = ref(0);
  watchEffect(async (onCleanup) => {
    void attempt.value;
    let isCurrent = true;
    onCleanup(() => (isCurrent = false));
    try {
      const latest = await request();
      if (isCurrent) {
        result.value = latest;
        error.value = undefined;
      }
    } catch (problem) {
      if (isCurrent) {
        error.value = problem as Error;
      }
    }
  });
  return { result, error, sendAgain: () => (attempt.value += 1) };
}
