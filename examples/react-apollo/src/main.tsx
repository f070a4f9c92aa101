import { ApolloProvider } from '@apollo/client/react';
import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import { SignIn } from '../../shared/react/SignIn';
import { roster } from '../../shared/roster';
import '../../shared/style.css';
import { createClient } from './client';
import { Finder } from './Finder';

function App() {
  const [isSignedIn, setSignedIn] = useState(roster.tokens.token !== null);
  const [connections, setConnections] = useState(0);
  const [client] = useState(() => createClient(() => setConnections((count) => count + 1)));
  return isSignedIn ? (
    <ApolloProvider client={client}>
      <Finder connections={connections} />
    </ApolloProvider>
  ) : (
    <SignIn onSignedIn={() => setSignedIn(true)} />
  );
}

createRoot(document.getElementById('app')!).render(<App />);
