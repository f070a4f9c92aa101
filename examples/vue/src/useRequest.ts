import { shallowRef, watchEffect } from 'vue';

/** The result of a request, which is sent again when something changes that it has used before its first `await`. */
export function useRequest<T>(request: () => Promise<T>) {
  const result = shallowRef<T>();
  const error = shallowRef<Error>();
  watchEffect(async (onCleanup) => {
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
  return { result, error };
}
