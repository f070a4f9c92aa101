/** The number of users in a page. */
export const PAGE = 20;
/** The largest page that the server allows. */
export const LARGEST_PAGE = 100;

/** The size of one page with all users that are shown, so that a list does not become short when it is read again. */
export function sizeOfAll(shown: number): number {
  const pages = Math.max(Math.ceil(shown / PAGE), 1);
  return Math.min(pages * PAGE, LARGEST_PAGE);
}
