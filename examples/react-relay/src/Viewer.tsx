import { Suspense } from 'react';
import { ErrorBoundary } from 'react-error-boundary';
import { graphql, useLazyLoadQuery } from 'react-relay';
import type { Connection } from '../../shared/react/useConnected';
import type { ViewerQuery } from './__generated__/ViewerQuery.graphql';

type ViewerProps = Pick<Connection, 'connections'>;

/** The name of the viewer. If it could not be read, it is read with the next connection; the list shows the error. */
export function Viewer({ connections }: ViewerProps) {
  return (
    <ErrorBoundary resetKeys={[connections]} fallback={null}>
      <Suspense>
        <Name connections={connections} />
      </Suspense>
    </ErrorBoundary>
  );
}

function Name({ connections }: ViewerProps) {
  const { viewer } = useLazyLoadQuery<ViewerQuery>(
    graphql`
      query ViewerQuery {
        viewer {
          fullName
        }
      }
    `,
    {},
    { fetchKey: connections },
  );
  return viewer?.fullName;
}
