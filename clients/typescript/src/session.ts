import { RosterError } from './errors.js';
import type { LoginInput } from './generated/operations.js';

/** The tokens that a device keeps of a sign-in. */
export interface Tokens {
  /** The token of the session. Null if nobody is signed in. */
  readonly token: string | null;
  /** The date and time when the session ends at the latest. Null if unknown. */
  readonly expiresAt: string | null;
  /** The token with which the device can sign in with a PIN. It outlives the session. */
  readonly deviceToken: string | null;
}

/** A storage of tokens. */
export interface TokenStorage {
  get(): Tokens | null;
  set(tokens: Tokens): void;
}

const NO_TOKENS: Tokens = { token: null, expiresAt: null, deviceToken: null };

/** Keeps tokens as long as the program runs. */
export function memoryStorage(token: string | null = null): TokenStorage {
  let tokens: Tokens = { ...NO_TOKENS, token };
  return {
    get: () => tokens,
    set: (changed) => {
      tokens = changed;
    },
  };
}

/** A storage of texts, such as `sessionStorage` of browsers. */
export interface TextStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** Keeps tokens in `sessionStorage`, or another storage of browsers. */
export function webStorage(storage: TextStorage, key = 'roster'): TokenStorage {
  return {
    get: () => {
      try {
        return JSON.parse(storage.getItem(key) ?? 'null') as Tokens | null;
      } catch {
        return null; // not written by this client
      }
    },
    set: (tokens) => storage.setItem(key, JSON.stringify(tokens)),
  };
}

/** Returns what the same user needs to sign in again, such as a PIN that they are asked for. Null if they do not sign in. */
export type Renew = (tokens: Tokens) => Promise<LoginInput | null> | LoginInput | null;

/** Signs in, and returns the tokens. Null if the sign-in was refused. */
export type SignIn = (input: LoginInput) => Promise<Tokens | null>;

/** The session of the client, which is renewed once for all requests that find it ended. */
export class Session {
  #renewal: Promise<string | null> | null = null;
  /** The token of the last renewal, and those that it has replaced. */
  #renewed: { readonly token: string; readonly replaced: ReadonlySet<string> } | null = null;

  constructor(
    private readonly storage: TokenStorage,
    private readonly signIn: SignIn,
    private readonly renew: Renew | undefined,
    private readonly onEnd: (() => void) | undefined,
  ) {}

  get tokens(): Tokens {
    return this.storage.get() ?? NO_TOKENS;
  }

  /** The token to send with the next request. Null for none. */
  async token(): Promise<string | null> {
    const { token, expiresAt } = this.tokens;
    const hasExpired = token !== null && expiresAt !== null && Date.parse(expiresAt) <= Date.now();
    return hasExpired ? this.replace(token) : token;
  }

  /**
   * Returns the token that replaces one that the server refused. Null if there is none: the session has ended, and the
   * user who has signed in since may be another one.
   */
  async replace(refused: string): Promise<string | null> {
    const { token } = this.tokens;
    if (token !== refused) {
      return this.continues(refused) ? token : null;
    }
    this.#renewal ??= this.#renew(refused).finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  /** Whether the current session is that of a token, or a renewal of it. Null is the token of nobody. */
  continues(former: string | null): boolean {
    const { token } = this.tokens;
    return token === former || (token !== null && former !== null && this.#replacedBy(token).has(former));
  }

  /** Keeps the tokens of a sign-in. One with a PIN has no new token for the device. */
  keep(tokens: Tokens): void {
    this.storage.set({ ...tokens, deviceToken: tokens.deviceToken ?? this.tokens.deviceToken });
  }

  /** Forgets the session, but not the device. */
  end(): void {
    this.storage.set({ ...NO_TOKENS, deviceToken: this.tokens.deviceToken });
    this.onEnd?.();
  }

  /** The tokens that renewals have replaced by this one. */
  #replacedBy(token: string): ReadonlySet<string> {
    return this.#renewed?.token === token ? this.#renewed.replaced : new Set();
  }

  async #renew(ended: string): Promise<string | null> {
    const input = (await this.renew?.(this.tokens)) ?? null;
    const tokens = input && (await this.signIn(input));
    if (this.tokens.token !== ended) {
      return null; // signed in or out meanwhile
    }
    if (tokens?.token) {
      this.#renewed = { token: tokens.token, replaced: new Set([...this.#replacedBy(ended), ended]) };
      this.keep(tokens);
      return tokens.token;
    }
    this.end();
    return null;
  }
}

/** The session of one user and its renewals, also after another one has signed in. */
export class UserSession {
  readonly #session: Session;
  /** Undefined before the first request. */
  #token: string | null | undefined;

  constructor(session: Session) {
    this.#session = session;
  }

  /** Throws if the user has signed out: another one may have signed in since. */
  require(): void {
    const token = this.#token === undefined ? this.#session.tokens.token : this.#token;
    if (!this.#session.continues(token)) {
      const error = { message: 'The user has signed out.', extensions: { code: 'UNAUTHENTICATED' } };
      throw new RosterError([error], { status: 401, requestId: null, retryAfter: null });
    }
    this.#token = token;
  }

  /** Takes over the token with which a request was sent at last. */
  advance(): void {
    if (this.#token !== undefined && this.#session.continues(this.#token)) {
      this.#token = this.#session.tokens.token;
    }
  }

  /** Returns the token to send. Throws if the user has signed out. */
  async token(): Promise<string | null> {
    this.require();
    this.#token = await this.#session.token();
    return this.#token;
  }

  /** Returns whether the session was renewed after the server has ended it. */
  async renew(): Promise<boolean> {
    return typeof this.#token === 'string' && (await this.#session.replace(this.#token)) !== null;
  }
}
