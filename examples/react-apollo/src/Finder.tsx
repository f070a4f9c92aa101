import { useQuery, useSubscription } from '@apollo/client/react';
import { ChangesDocument, UserDocument, ViewerDocument, type ChangesSubscription } from '@roster/client';
import { useState } from 'react';
import { Frame } from '../../shared/react/Frame';
import { UserList } from '../../shared/react/UserList';
import type { Connection } from '../../shared/react/useConnected';
import { useReadAgain } from '../../shared/react/useReadAgain';
import { Profile } from './Profile';
import { useUsers } from './useUsers';

export function Finder({ isLive, connections }: Connection) {
  const { data, refetch } = useQuery(ViewerDocument);
  useReadAgain(connections, () => {
    refetch().catch(() => undefined); // the list shows that the server is away
  });
  const [selected, setSelected] = useState<string | null>(null);
  const [words, setWords] = useState('');
  const [moves, setMoves] = useState(0);
  useSubscription(ChangesDocument, {
    variables: { types: ['USER'] },
    // The cache has written the fields of the changed user that the subscription selects.
    onData({ client, data: { data } }) {
      if (data && data.changes.kind !== 'UPDATED') {
        setMoves((count) => count + 1);
      }
      if (data && !isComplete(data.changes)) {
        void client.refetchQueries({ include: [UserDocument] });
      }
    },
  });
  return (
    <Frame
      viewer={data?.viewer?.fullName}
      isLive={isLive}
      onSearch={setWords}
      users={<Users key={words} words={words} revision={connections + moves} onSelect={setSelected} />}
      profile={selected !== null && <Profile key={selected} id={selected} connections={connections} />}
    />
  );
}

/** Whether a change has all that is new. */
function isComplete({ changedFields, node }: ChangesSubscription['changes']): boolean {
  return node !== null && changedFields.every((field) => field in node);
}

interface UsersProps {
  readonly words: string;
  /** Another number whenever users may be new in the list, or gone. */
  readonly revision: number;
  readonly onSelect: (id: string) => void;
}

function Users({ words, revision, onSelect }: UsersProps) {
  const { users, error, more } = useUsers(words, revision);
  return <UserList users={users} error={error} onMore={more} onSelect={onSelect} />;
}
