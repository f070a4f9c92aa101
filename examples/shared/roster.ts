import { Roster, webStorage } from '@roster/client';

// Never from the address of the page: who writes a link to it would choose who gets the password and the token.
const url = document.querySelector<HTMLMetaElement>('meta[name=roster]')!.content;

export const roster = new Roster({
  url,
  storage: webStorage(sessionStorage),
  // A new page, so that nothing that the user could see is left in memory.
  onSignedOut: () => location.reload(),
});
