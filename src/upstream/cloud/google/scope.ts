/** What tokens are for. What they may read, the roles of their account say. */
export const SCOPE = "https://www.googleapis.com/auth/cloud-platform";
