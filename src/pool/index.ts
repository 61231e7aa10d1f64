// The pool: connections scheduled by a pure state machine. Reading order:
export * from './commands.ts' // what goes in and out: the whole outer contract
