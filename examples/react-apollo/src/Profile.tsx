import { useMutation, useQuery } from '@apollo/client/react';
import { SetUserAvatarDocument, UpdateUserDocument, UserDocument } from '@roster/client';
import { ProfileForm } from '../../shared/react/ProfileForm';
import type { Connection } from '../../shared/react/useConnected';
import { useReadAgain } from '../../shared/react/useReadAgain';

interface ProfileProps extends Pick<Connection, 'connections'> {
  readonly id: string;
}

export function Profile({ id, connections }: ProfileProps) {
  const { data, error, refetch } = useQuery(UserDocument, { variables: { by: { id } } });
  useReadAgain(connections, () => {
    refetch().catch(() => undefined); // `error` has it
  });
  const [save, saved] = useMutation(UpdateUserDocument);
  const [upload, uploaded] = useMutation(SetUserAvatarDocument);
  return (
    <ProfileForm
      user={data?.user}
      error={error}
      saved={{ payload: saved.data?.updateUser, error: saved.error }}
      uploaded={{ payload: uploaded.data?.setUserAvatar, error: uploaded.error }}
      onSave={(values, expectedVersion) => void save({ variables: { input: { ...values, id, expectedVersion } } })}
      onUpload={(avatar) => void upload({ variables: { input: { id, avatar } } })}
    />
  );
}
