declare global {
  namespace App {
    interface Locals {
      /** Who is signed in. */
      user: string | undefined;
    }
  }
}

export {};
