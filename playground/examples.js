"use strict";

// The document of the first tab.
const FIRST_QUERY = `# Welcome to Roster.
#
#   Sign in       with the bar above
#   Run           Ctrl-Enter, or the button
#   Suggestions   Ctrl-Space
#   All fields    the book on the left; the folder builds queries
#   Examples      the lines on the left
#   As a program  the angle brackets on the left

query FirstLook {
  # The user who is signed in.
  viewer {
    fullName
    role
  }

  # The first five users that you can see.
  # For more, add pageInfo { endCursor },
  # and give that as users(first: 5, after: "…").
  users(first: 5) {
    totalCount
    nodes {
      fullName
      email
      institution {
        name
      }
      groups {
        name
      }
    }
  }
}
`;

// The documents of the panel "Examples", by the lowest rank that sees everything they ask for. "$viewer" in the variables becomes
// the ID of the viewer when a document is opened. `field` is its root field, for the link to the reference. The explorer cannot
// show a list in a document: one value stands without brackets, and several are variables.
window.roster = { ...window.roster, firstQuery: FIRST_QUERY, examples: [
  {
    rank: "user",
    title: "Who am I, and what may I do?",
    field: "Query.viewer",
    query: `query WhoAmI {
  viewer {
    id
    fullName
    email
    role
    groups {
      name
    }
    viewerCan {
      update
      setActive
      seePrivate
    }
  }
}
`,
  },
  {
    rank: "user",
    title: "Search users, with a typo",
    field: "Query.searchUsers",
    query: `query Search($text: String!) {
  searchUsers(query: $text, first: 5) {
    totalCount
    edges {
      score
      matchedFields
      node {
        fullName
        email
      }
    }
  }
}
`,
    variables: { text: "emil sandovla" },
  },
  {
    rank: "user",
    title: "Filter, sort and page users",
    field: "Query.users",
    query: `query Nurses($after: String) {
  users(
    filter: { position: { contains: "nurse" } }
    orderBy: { field: LAST_NAME, direction: ASC }
    first: 10
    after: $after
  ) {
    totalCount
    nodes {
      fullName
      position
      institution {
        name
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
    variables: { after: null },
  },
  {
    rank: "user",
    title: "Change my position (dry run)",
    field: "Mutation.updateUser",
    query: `mutation ChangePosition($input: UpdateUserInput!) {
  updateUser(input: $input) {
    success
    errors {
      code
      path
      message
    }
    user {
      fullName
      position
    }
  }
}
`,
    variables: { input: { id: "$viewer", position: "Nurse", dryRun: true } },
  },
  {
    rank: "user",
    title: "Set my picture: choose it under “File upload”",
    field: "Mutation.setUserAvatar",
    query: `mutation SetPicture($input: SetUserAvatarInput!) {
  setUserAvatar(input: $input) {
    success
    errors {
      code
      path
      message
    }
    user {
      avatarUrl
    }
  }
}
`,
    variables: { input: { id: "$viewer", avatar: null } },
  },
  {
    rank: "user",
    title: "Follow the changes of users and groups",
    field: "Subscription.changes",
    query: `subscription Follow($types: [NodeType!]) {
  changes(types: $types) {
    kind
    type
    nodeId
    changedFields
  }
}
`,
    variables: { types: ["USER", "GROUP"] },
  },
  {
    rank: "admin",
    title: "Create a user (dry run)",
    field: "Mutation.createUser",
    query: `mutation CreateUser($input: CreateUserInput!) {
  createUser(input: $input) {
    success
    errors {
      code
      path
      message
    }
    user {
      id
      invitation {
        state
        expiresAt
      }
    }
  }
}
`,
    variables: { input: { firstName: "Ann", lastName: "Birch", email: "ann.birch@example.org", dryRun: true } },
  },
  {
    rank: "admin",
    title: "Users who have not accepted their invitation",
    field: "Query.users",
    query: `query Invited($states: [InvitationState!]) {
  users(filter: { invitation: $states }, first: 10) {
    totalCount
    nodes {
      fullName
      email
      invitation {
        state
        lastError
      }
    }
  }
}
`,
    variables: { states: ["QUEUED", "SENT", "FAILED", "EXPIRED"] },
  },
  {
    rank: "admin",
    title: "The latest audit events",
    field: "Query.auditEvents",
    query: `query Audit {
  auditEvents(first: 10) {
    nodes {
      at
      action
      actor {
        fullName
      }
      subjectId
      changes {
        field
      }
    }
  }
}
`,
  },
  {
    rank: "license admin",
    title: "API keys and their last use",
    field: "Query.apiKeys",
    query: `query Keys {
  apiKeys {
    name
    prefix
    role
    createdAt
    lastUsedAt
  }
}
`,
  },
  {
    rank: "superuser",
    title: "Users of every license",
    field: "Query.users",
    query: `query AllLicenses {
  users(first: 20, orderBy: { field: DATE_JOINED, direction: DESC }) {
    totalCount
    nodes {
      fullName
      license {
        name
      }
    }
  }
}
`,
  },
] };
