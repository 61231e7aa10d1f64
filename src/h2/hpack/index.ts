// HPACK, the field compression of HTTP/2 (RFC 7541). Reading order:
export * from './decoder.ts' // field blocks to fields
export * from './encoder.ts' // fields to field blocks
// integer.ts, huffman.ts and tables.ts are what both are made of; nobody else needs them.
