import { useState, type ReactNode } from 'react';
import { ErrorBoundary } from 'react-error-boundary';

interface RetryProps {
  /** What tries again by itself when it changes. */
  readonly when?: unknown;
  /** Gets the number of the attempt. It is the `fetchKey` of a query: Relay keeps an error under the former one. */
  readonly children: (attempt: number) => ReactNode;
}

/** Shows the error of a query, which Relay throws while it renders, and tries again. */
export function Retry({ when, children }: RetryProps) {
  const [attempt, setAttempt] = useState(0);
  return (
    <ErrorBoundary
      resetKeys={[when]}
      onReset={() => setAttempt((count) => count + 1)}
      fallbackRender={({ error, resetErrorBoundary }) => (
        <p role="alert">
          {String(error)} <button onClick={resetErrorBoundary}>Try again</button>
        </p>
      )}
    >
      {children(attempt)}
    </ErrorBoundary>
  );
}
