// The stories of http2jp/hpack-test-case: real requests and responses as fourteen encoders wrote them.
import { existsSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { HpackDecoder, HpackEncoder } from '../../src/h2/hpack/index.ts'
import { bytesOf, pairsOf } from './support.ts'

interface Story {
  readonly headers: readonly (readonly number[])[]
  readonly wire: Readonly<Record<string, readonly string[]>>
  readonly tableSize: Readonly<Record<string, Readonly<Record<string, number>>>>
}
interface Stories {
  readonly stories: Readonly<Record<string, Story>>
  readonly strings: readonly string[]
}

const FILE = new URL('../../../shared/vectors/hpack-stories.json.gz', import.meta.url)

describe.skipIf(!existsSync(FILE))('stories (skipped where ../shared/vectors is missing)', () => {
  const { stories, strings } = existsSync(FILE)
    ? (JSON.parse(gunzipSync(readFileSync(FILE)).toString('utf8')) as Stories)
    : { stories: {}, strings: [] }
  const listsOf = (story: Story): [string, string][][] =>
    story.headers.map((list) => pairsOf(list.map((i) => strings[i] as string)))

  for (const [name, story] of Object.entries(stories)) {
    it(`decodes story ${name} of every encoder`, () => {
      const expected = listsOf(story)
      let blocks = 0
      for (const [encoder, wire] of Object.entries(story.wire)) {
        const sizes = story.tableSize[encoder] ?? {}
        const decoder = new HpackDecoder({ maxTableSize: sizes[0], maxListBytes: 1 << 20 })
        wire.forEach((block, i) => {
          if (i > 0 && sizes[i] !== undefined) decoder.setMaxTableSize(sizes[i])
          expect([...decoder.decode(bytesOf(block, 'base64'))], `${encoder} block ${i}`).toEqual(expected[i])
          blocks++
        })
      }
      expect(blocks).toBeGreaterThan(0)
    })

    it(`encodes story ${name} so that it decodes to the same`, () => {
      const encoder = new HpackEncoder()
      const decoder = new HpackDecoder({ maxListBytes: 1 << 20 })
      for (const list of listsOf(story)) expect([...decoder.decode(encoder.encode(list))]).toEqual(list)
    })
  }

  it('writes no more octets than nghttp2 did', () => {
    let ours = 0
    let theirs = 0
    for (const story of Object.values(stories)) {
      const encoder = new HpackEncoder()
      for (const list of listsOf(story)) ours += encoder.encode(list).length
      for (const block of story.wire['nghttp2'] ?? []) theirs += bytesOf(block, 'base64').length
    }
    expect(ours).toBeGreaterThan(0)
    expect(ours).toBeLessThanOrEqual(theirs)
  })
})
