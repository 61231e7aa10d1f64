// What every version of HTTP shares (RFC 9110). Imports nothing. Reading order:
export * from './messages.ts' // requests, responses, content
export * from './fields.ts' // header and trailer fields
export * from './events.ts' // what a peer did
export * from './connection.ts' // the contract of a machine, and its laws
export * from './errors.ts' // who was wrong, how far, which rule, where
export * from './misuse.ts' // what a caller may not do
export * from './origin.ts' // origins and URLs
export * from './limits.ts' // every limit, with its reason
export * from './grammar.ts' // tokens, field values, lists
export * from './latin1.ts' // bytes to strings
