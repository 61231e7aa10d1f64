// HPACK both ways, per field, on what browsers and servers send and on the stories of http2jp/hpack-test-case.
//
// One pass is one connection: a fresh decoder or encoder, then all blocks of it in order. The blocks to decode are the
// same for every peer. hpack.js has no form without its stream.
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { gunzipSync } from 'node:zlib'
import { project } from '../lib/project.mjs'

const STORIES = new URL('../../../shared/vectors/hpack-stories.json.gz', import.meta.url)

const kinds = [
  { name: 'typical requests', quick: true, connections: () => [typicalRequests()] },
  { name: 'typical responses', quick: true, connections: () => [typicalResponses()] },
]
// Without the stories only the typical messages are measured.
if (existsSync(STORIES)) {
  kinds.push({ name: 'stories', connections: () => stories('nghttp2') })
  kinds.push({ name: 'stories, literals only', connections: () => stories('haskell-http2-static-huffman') })
}

export default {
  title: 'HPACK',
  unit: 'field',
  baseline: 'hpack.js',
  cases: kinds.flatMap((kind) => [
    { ...kind, name: `decode: ${kind.name}`, verb: 'decode' },
    { ...kind, name: `encode: ${kind.name}`, verb: 'encode' },
  ]),
  peers: {
    project: {
      async open() {
        const hpack = await project('hpack')
        return { prepare: async (theCase) => prepareProject(hpack, theCase) }
      },
    },
    'hpack.js': {
      async open() {
        const hpackJs = createRequire(import.meta.url)('hpack.js')
        const hpack = await project('hpack')
        return { prepare: async (theCase) => preparePeer(hpackJs, hpack, theCase) }
      },
    },
  },
}

// ── peers ──

function prepareProject({ HpackDecoder, HpackEncoder }, theCase) {
  const connections = withBlocks(theCase, HpackEncoder)
  if (theCase.verb === 'decode') {
    const decodeAll = (blocks, each) => {
      const decoder = new HpackDecoder({ maxListBytes: 2 ** 20 })
      for (const block of blocks) each(decoder.decode(block))
    }
    return passes(connections, {
      one: ({ blocks }) => decodeAll(blocks, () => {}),
      result: ({ blocks }) => {
        const lists = []
        decodeAll(blocks, (fields) => lists.push([...fields]))
        return lists
      },
    })
  }
  const encodeAll = (lists, each) => {
    const encoder = new HpackEncoder()
    for (const list of lists) each(encoder.encode(list))
  }
  return passes(connections, {
    one: ({ lists }) => encodeAll(lists, () => {}),
    // Blocks of two encoders differ: what has to agree is what they decode to.
    result: ({ lists }) => {
      const decoder = new HpackDecoder({ maxListBytes: 2 ** 20 })
      const decoded = []
      encodeAll(lists, (block) => decoded.push([...decoder.decode(block)]))
      return decoded
    },
  })
}

function preparePeer({ compressor, decompressor }, { HpackDecoder, HpackEncoder }, theCase) {
  const connections = withBlocks(theCase, HpackEncoder)
  const table = { maxSize: 4096 }
  if (theCase.verb === 'decode') {
    const decodeAll = (blocks, each) => {
      const peer = decompressor.create({ table })
      for (const block of blocks) {
        peer.write(block)
        peer.execute()
        const list = []
        for (let field = peer.read(); field !== null; field = peer.read()) list.push(field)
        each(list)
      }
    }
    const buffers = connections.map((c) => ({ ...c, blocks: c.blocks.map((block) => Buffer.from(block)) }))
    return passes(buffers, {
      one: ({ blocks }) => decodeAll(blocks, () => {}),
      result: ({ blocks }) => {
        const lists = []
        decodeAll(blocks, (list) => lists.push(list.map(({ name, value }) => [name, value])))
        return lists
      },
    })
  }
  const encodeAll = (lists, each) => {
    const peer = compressor.create({ table })
    for (const list of lists) {
      peer.write(list)
      each(peer.read())
    }
  }
  const objects = connections.map((c) => ({
    ...c,
    lists: c.lists.map((list) => list.map(([name, value]) => ({ name, value }))),
  }))
  return passes(objects, {
    one: ({ lists }) => encodeAll(lists, () => {}),
    result: ({ lists }) => {
      const decoder = new HpackDecoder({ maxListBytes: 2 ** 20 })
      const decoded = []
      encodeAll(lists, (block) => decoded.push([...decoder.decode(block)]))
      return decoded
    },
  })
}

/**
 * n fields: whole connections, one after the other, as many as it takes. Between two the event loop turns, for every
 * peer: a stream leaves callbacks for later, and in one long run they would pile up and be measured as garbage.
 */
function passes(connections, { one, result }) {
  let next = 0
  let ahead = 0
  return {
    result: () => connections.map(result),
    async run(n) {
      // What a run does too much the next one does less.
      for (ahead -= n; ahead < 0; next = (next + 1) % connections.length) {
        one(connections[next])
        ahead += connections[next].fields
        await new Promise(setImmediate)
      }
    },
  }
}

/** A connection: its lists of pairs, their blocks (encoded here where nobody recorded any), how many fields. */
function withBlocks(theCase, HpackEncoder) {
  return theCase.connections().map(({ lists, blocks }) => {
    const encoder = new HpackEncoder()
    return {
      lists,
      blocks: blocks ?? lists.map((list) => encoder.encode(list)),
      fields: lists.reduce((sum, list) => sum + list.length, 0),
    }
  })
}

// ── what is sent ──

function typicalRequests() {
  const pages = ['/', '/news', '/search?q=http%2F2&page=2', '/static/app.8f3c1d.js', '/api/v2/users/1842/messages']
  return {
    lists: Array.from({ length: 100 }, (_, i) => [
      [':method', 'GET'],
      [':scheme', 'https'],
      [':authority', 'www.example.com'],
      [':path', i % 3 === 0 ? `/img/${(i * 7919) % 1000}.webp` : pages[i % pages.length]],
      ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'],
      ['accept', i % 3 === 0 ? 'image/avif,image/webp,*/*;q=0.8' : 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8'],
      ['accept-language', 'en-US,en;q=0.5'],
      ['accept-encoding', 'gzip, deflate, br'],
      ['referer', `https://www.example.com${pages[i % 2]}`],
      ['cookie', 'session=4f1d8a7be0c94a63b1f05a2d7c9e; theme=dark; consent=1'],
      ['sec-fetch-mode', 'cors'],
      ['x-request-id', `${(i * 2654435761) % 4294967296}-${i}`],
    ]),
  }
}

function typicalResponses() {
  const types = ['text/html; charset=utf-8', 'application/json', 'image/webp', 'application/javascript']
  return {
    lists: Array.from({ length: 100 }, (_, i) => [
      [':status', i % 10 === 9 ? '304' : '200'],
      ['date', `Mon, 21 Oct 2024 20:13:${String(Math.floor(i / 4) + 10)} GMT`],
      ['content-type', types[i % types.length]],
      ['content-length', String((i * 7919) % 65536)],
      ['last-modified', `Tue, 0${(i % 9) + 1} Aug 2023 09:12:44 GMT`],
      ['etag', `"${((i * 2654435761) % 4294967296).toString(16)}-1a2b"`],
      ['cache-control', i % 2 === 0 ? 'max-age=31536000, immutable' : 'no-cache'],
      ['server', 'nginx/1.26.2'],
      ['vary', 'Accept-Encoding'],
      ['accept-ranges', 'bytes'],
      ['strict-transport-security', 'max-age=63072000; includeSubDomains'],
      ['x-content-type-options', 'nosniff'],
    ]),
  }
}

function stories(encoder) {
  const { stories: all, strings } = JSON.parse(gunzipSync(readFileSync(STORIES)).toString('utf8'))
  return Object.values(all).map(({ headers, wire }) => ({
    lists: headers.map((list) => {
      const pairs = []
      for (let i = 0; i < list.length; i += 2) pairs.push([strings[list[i]], strings[list[i + 1]]])
      return pairs
    }),
    blocks: wire[encoder].map((block) => new Uint8Array(Buffer.from(block, 'base64'))),
  }))
}
