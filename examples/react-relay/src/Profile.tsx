import { useState } from 'react';
import { graphql, useFragment, useLazyLoadQuery, useMutation } from 'react-relay';
import type { Outcome } from '../../shared/form';
import { ProfileForm } from '../../shared/react/ProfileForm';
import type { ProfileAvatarMutation } from './__generated__/ProfileAvatarMutation.graphql';
import type { ProfileFields$key } from './__generated__/ProfileFields.graphql';
import type { ProfileMutation } from './__generated__/ProfileMutation.graphql';
import type { ProfileQuery } from './__generated__/ProfileQuery.graphql';

export function Profile({ attempt, id }: { readonly attempt: number; readonly id: string }) {
  const data = useLazyLoadQuery<ProfileQuery>(
    graphql`
      query ProfileQuery($id: ID!) {
        user(by: { id: $id }) {
          ...ProfileFields
        }
      }
    `,
    { id },
    { fetchKey: attempt, fetchPolicy: 'store-and-network' },
  );
  const user = useFragment<ProfileFields$key>(
    graphql`
      fragment ProfileFields on User {
        id
        version
        fullName
        firstName
        lastName
        position
        phone
        avatarUrl
        viewerCan {
          update
        }
      }
    `,
    data.user,
  );
  const [saved, setSaved] = useState<Outcome>({});
  const [uploaded, setUploaded] = useState<Outcome>({});
  const [save] = useMutation<ProfileMutation>(graphql`
    mutation ProfileMutation($input: UpdateUserInput!) {
      updateUser(input: $input) {
        errors {
          code
          path
          message
        }
        user {
          ...ProfileFields
        }
      }
    }
  `);
  const [upload] = useMutation<ProfileAvatarMutation>(graphql`
    mutation ProfileAvatarMutation($input: SetUserAvatarInput!) {
      setUserAvatar(input: $input) {
        errors {
          code
          path
          message
        }
        user {
          ...ProfileFields
        }
      }
    }
  `);
  return (
    <ProfileForm
      user={user}
      saved={saved}
      uploaded={uploaded}
      onSave={(values, expectedVersion) =>
        save({
          variables: { input: { ...values, id, expectedVersion } },
          onCompleted: ({ updateUser }) => setSaved({ payload: updateUser }),
          onError: (error) => setSaved({ error }),
        })
      }
      onUpload={(avatar) =>
        upload({
          variables: { input: { id, avatar } },
          onCompleted: ({ setUserAvatar }) => setUploaded({ payload: setUserAvatar }),
          onError: (error) => setUploaded({ error }),
        })
      }
    />
  );
}
