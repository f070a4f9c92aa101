/** An error of a response, with its code and place. */
export interface GraphQLErrorBody {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly locations?: readonly { readonly line: number; readonly column: number }[];
  readonly extensions?: { readonly code?: string; readonly [key: string]: unknown };
}

/** The status and headers of a response. */
export interface ResponseInfo {
  readonly status: number;
  /** The ID of the request in the server's log. Null if the response is not one of Roster. */
  readonly requestId: string | null;
  /** The seconds after which a request that was refused may be sent again. Null if the server does not say. */
  readonly retryAfter: number | null;
}

/** An error of a whole request or of a field: everything that is not an error in the input of a mutation. */
export class RosterError extends Error {
  override readonly name = 'RosterError';
  /** The code of the first error, such as `UNAUTHENTICATED`, `FORBIDDEN` or `RATE_LIMITED`. */
  readonly code: string;

  constructor(
    readonly errors: readonly GraphQLErrorBody[],
    readonly response: ResponseInfo,
    /** The data of the response. */
    readonly data: unknown = null,
  ) {
    super(errors.map(({ message }) => message).join('; ') || `The server answered with ${response.status}`);
    this.code = errors[0]?.extensions?.code ?? 'INVALID_RESPONSE';
  }

  /** With `SNAPSHOT_REQUIRED`: the position from which to follow after everything is read again. Null otherwise. */
  get position(): string | null {
    const position = this.errors[0]?.extensions?.['position'];
    return typeof position === 'string' ? position : null;
  }
}

export function responseInfo(response: Response): ResponseInfo {
  const retryAfter = Number.parseInt(response.headers.get('retry-after') ?? '', 10);
  return {
    status: response.status,
    requestId: response.headers.get('x-request-id'),
    retryAfter: Number.isNaN(retryAfter) ? null : retryAfter,
  };
}
