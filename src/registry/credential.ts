// What proves to a registry who somebody is.

export type Credential =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  /** An OAuth2 refresh token, exchanged for access tokens. */
  | { readonly kind: 'identity'; readonly token: string }
  /** An access token to be used as it is. */
  | { readonly kind: 'bearer'; readonly token: string };
