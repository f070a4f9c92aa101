import { Picture } from './Picture';

export interface Users {
  readonly totalCount: number;
  readonly edges: readonly {
    readonly node: {
      readonly id: string;
      readonly fullName: string;
      readonly position: string | null | undefined;
      readonly avatarUrl: string | null | undefined;
    };
  }[];
  readonly pageInfo: { readonly hasNextPage: boolean };
}

interface UserListProps {
  readonly users: Users | undefined;
  readonly error?: Error | null | undefined;
  readonly onMore: () => void;
  readonly onSelect: (id: string) => void;
}

export function UserList({ users, error, onMore, onSelect }: UserListProps) {
  return (
    <>
      <p role="alert">{error?.message}</p>
      <p id="count">{users && `${users.edges.length} of ${users.totalCount}`}</p>
      <ul className="people">
        {users?.edges.map(({ node }) => (
          <li key={node.id}>
            <button onClick={() => onSelect(node.id)}>
              <Picture url={node.avatarUrl} />
              <span>
                {node.fullName}
                <br />
                <small>{node.position}</small>
              </span>
            </button>
          </li>
        ))}
      </ul>
      {users?.pageInfo.hasNextPage && (
        <button id="more" onClick={onMore}>
          More
        </button>
      )}
    </>
  );
}
