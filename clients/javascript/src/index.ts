/** The client of Parley. */
export {};
