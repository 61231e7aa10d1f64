// Blocks that must be refused, and their neighbours that must not.
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { HpackDecoder, HpackError } from '../../src/h2/hpack/index.ts'
import { bytesOf } from './support.ts'

interface Case {
  readonly id: string
  readonly what: string
  readonly blocks: readonly string[]
  readonly expect: 'error' | 'ok' | 'ambiguous'
  readonly headers?: readonly (readonly [string, string])[]
  readonly setup?: { readonly beforeBlock: number; readonly ackedTableSize: number }
}

const FILE = new URL('../../../shared/vectors/hpack-malformed.json', import.meta.url)

describe('malformed blocks', () => {
  const cases = existsSync(FILE) ? (JSON.parse(readFileSync(FILE, 'utf8')) as Case[]) : []
  if (cases.length === 0) it.skip('../shared/vectors is not there', () => undefined)
  it.each(cases)('$id: $what', ({ blocks, expect: verdict, headers, setup }) => {
    const decoder = new HpackDecoder()
    const decodeAll = (): [string, string][] => {
      let last: [string, string][] = []
      blocks.forEach((block, i) => {
        if (setup?.beforeBlock === i) decoder.setMaxTableSize(setup.ackedTableSize)
        if (i === blocks.length - 1) last = [...decoder.decode(bytesOf(block))].map(([n, v]) => [n, v])
        else decoder.decode(bytesOf(block))
      })
      return last
    }
    if (verdict === 'ok') expect(decodeAll()).toEqual(headers)
    else if (verdict === 'error') {
      expect(decodeAll).toThrow(HpackError)
      // A decoder that has failed stays failed.
      expect(() => decoder.decode(bytesOf('82'))).toThrow(HpackError)
    } else {
      try {
        expect(decodeAll()).toEqual(headers)
      } catch (error) {
        expect(error).toBeInstanceOf(HpackError)
      }
    }
  })
})
