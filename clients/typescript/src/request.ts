import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { RosterError, responseInfo, type GraphQLErrorBody, type ResponseInfo } from './errors.js';

/** A document with the types of its data and variables: one of this package, or of a code generator. */
export type Document<Data, Variables> =
  TypedDocumentNode<Data, Variables> | (String & { readonly __apiType?: (variables: Variables) => Data });

/** What a request sends as its document: the text, or the ID of a trusted document. */
export type Source = string | { readonly documentId: string };

/** The result of an operation. */
export interface Result<Data> {
  readonly data: Data | null;
  readonly errors?: readonly GraphQLErrorBody[];
  readonly response: ResponseInfo;
}

/** Returns the text of a document. */
export function textOf(document: unknown): string {
  if (typeof document === 'string' || document instanceof String) {
    return String(document);
  }
  const text = (document as { loc?: { source?: { body?: string } } }).loc?.source?.body;
  if (text === undefined) {
    throw new TypeError(
      'The document has no text: pass it through `print` of graphql, or generate documents as strings',
    );
  }
  return text;
}

/** Returns the body of a request: JSON, or a form if the variables contain a file. */
export function bodyOf(source: Source, variables: unknown): string | FormData {
  const found: [path: string, file: Blob][] = [];
  const withoutFiles = takeFiles(variables, 'variables', found);
  const document = typeof source === 'string' ? { query: source } : source;
  const operations = JSON.stringify({ ...document, variables: withoutFiles });
  const [file, ...others] = found;
  if (file === undefined) {
    return operations;
  }
  if (others.length > 0) {
    throw new TypeError('A request can contain at most one file');
  }
  const form = new FormData();
  form.append('operations', operations);
  form.append('map', JSON.stringify({ 0: [file[0]] }));
  form.append('0', file[1]);
  return form;
}

function takeFiles(value: unknown, path: string, found: [string, Blob][]): unknown {
  if (value instanceof Blob) {
    found.push([path, value]);
    return null;
  }
  if (Array.isArray(value)) {
    return value.map((item, index) => takeFiles(item, `${path}.${index}`, found));
  }
  if (typeof value !== 'object' || value === null || value instanceof Date) {
    return value;
  }
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, takeFiles(item, `${path}.${name}`, found)]),
  );
}

/** Reads the result of an operation. A response that is not one of Roster, such as that of a proxy, is an error. */
export async function resultOf<Data>(response: Response): Promise<Result<Data>> {
  const info = responseInfo(response);
  const body: unknown = await response.json().catch((error: unknown) => {
    if (error instanceof SyntaxError) {
      return null;
    }
    throw error;
  });
  const isResult = typeof body === 'object' && body !== null && ('data' in body || 'errors' in body);
  if (!isResult) {
    throw new RosterError([], info);
  }
  const { data = null, errors } = body as { data?: Data | null; errors?: GraphQLErrorBody[] };
  return { data, ...(errors && { errors }), response: info };
}
