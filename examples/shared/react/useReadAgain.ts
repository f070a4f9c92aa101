import { useEffect, useRef } from 'react';

/** Reads again what was read before, whenever the revision has become another one. */
export function useReadAgain(revision: number, readAgain: () => void) {
  const seen = useRef(revision);
  useEffect(() => {
    if (seen.current !== revision) {
      seen.current = revision;
      readAgain();
    }
  });
}
