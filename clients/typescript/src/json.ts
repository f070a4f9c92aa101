/** A value of the scalar `JSON`, such as that of a custom attribute. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
