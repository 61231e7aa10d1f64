// The same bytes to three parsers: ours, Node's own (llhttp) and http-parser-js. What becomes of the first message, and what
// is in it, is the same, or the pair of verdicts stands in the table of differences, which says why.
import { createRequire } from 'node:module'
import { fc } from '@fast-check/vitest'
import parserjs from 'http-parser-js'
import { describe, expect, test } from 'vitest'
import { H11Connection } from '../../src/h11/index.ts'
import type { H11Event, Role } from '../../src/http/index.ts'
import { wires } from '../laws/h11.sibling.ts'
import { differenceOf, REASONS, type Peer } from './differential-table.ts'

/** What became of the first message. */
export interface Verdict {
  readonly end: 'complete' | 'incomplete' | 'refused'
  /** Why it was refused. */
  readonly code: string
  readonly start: string
  readonly headers: readonly string[]
  readonly content: string
}

type Mode = keyof typeof wires

function ours(mode: Mode, data: Uint8Array): Verdict {
  const role: Role = mode === 'request' ? 'server' : 'client'
  const machine = new H11Connection(role, { now: 0 })
  const seen = { end: 'incomplete' as Verdict['end'], code: '', start: '', headers: [] as string[], content: '' }
  let over = false
  const take = (event: H11Event): void => {
    if (over) return
    switch (event.type) {
      case 'request':
      case 'response':
      case 'informational': {
        const start = event.type === 'request' ? `${event.method} ${event.target}` : `${event.status}`
        const version = event.type === 'informational' ? '' : ` ${event.httpVersion}`
        const { headers } = event
        seen.start = start + version
        seen.headers = Array.from({ length: headers.length }, (_, i) => `${headers.rawName(i)}: ${headers.value(i)}`)
        over = event.type === 'informational'
        if (over) seen.end = 'complete'
        return
      }
      case 'data':
        seen.content += Buffer.from(event.data).toString('latin1')
        return
      case 'end':
      case 'switched':
        over = true
        seen.end = 'complete'
        return
      case 'failed':
      case 'error':
        over = true
        seen.end = 'refused'
        seen.code = event.fault.code
        return
      default:
        return
    }
  }
  const drain = (): void => {
    for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent()) take(event)
  }
  if (role === 'client') {
    const headers = [['Connection', 'upgrade'] as const, ['Upgrade', 'x'] as const]
    machine.sendRequest({ method: 'GET', authority: 'a', target: '/', headers }, { end: true })
  }
  machine.receiveData(data, 0)
  drain()
  machine.receiveEof(0)
  drain()
  return seen
}

/** What Node's parser and its twin in JavaScript have in common. */
interface Parser {
  initialize(type: number | string, resource: object): void
  execute(data: Buffer): unknown
  finish(): unknown
  [callback: number]: unknown
}
interface ParserClass {
  new (): Parser
  readonly REQUEST: number | string
  readonly RESPONSE: number | string
  readonly kOnHeaders: number
  readonly kOnHeadersComplete: number
  readonly kOnBody: number
  readonly kOnMessageComplete: number
  /** Reading it tells http-parser-js to call back as Node's does. */
  readonly kOnExecute: number
}
// As Node decodes them.
parserjs.HTTPParser.encoding = 'latin1'
// Node 24 and newer give the parser in this place only. The methods stand where the parser counts them, but for QUERY, which
// it counts after those of other protocols.
const common = createRequire(import.meta.url)('_http_common') as { HTTPParser: ParserClass; methods: string[] }
const PARSERS: Readonly<Record<Peer, { readonly make: ParserClass; readonly methods: readonly string[] }>> = {
  llhttp: { make: common.HTTPParser, methods: common.methods },
  'http-parser-js': {
    make: parserjs.HTTPParser as unknown as ParserClass,
    methods: parserjs.methods as unknown as string[],
  },
}

function theirs(peer: Peer, mode: Mode, data: Uint8Array): Verdict {
  const { make: Class, methods } = PARSERS[peer]
  void Class.kOnExecute
  const parser = new Class()
  parser.initialize(mode === 'request' ? Class.REQUEST : Class.RESPONSE, {})
  const seen = { end: 'incomplete' as Verdict['end'], code: '', start: '', headers: [] as string[], content: '' }
  let over = false
  parser[Class.kOnHeadersComplete] = (...given: unknown[]): number => {
    const [major, minor, headers, method, url, status] = given as [number, number, string[], number, string, number]
    if (over) return 0
    const informational = status >= 100 && status < 200
    const start = mode === 'request' ? `${methods[method] ?? ''} ${url}` : `${status}`
    seen.start = start + (informational && status !== 101 ? '' : ` HTTP/${major}.${minor}`)
    seen.headers = pairs(headers)
    return 0
  }
  // Without kOnHeaders more than 32 fields could not be told; none of these messages has as many.
  parser[Class.kOnHeaders] = (): void => undefined
  parser[Class.kOnBody] = (buffer: Buffer, offset = 0, length = buffer.length): void => {
    if (!over) seen.content += buffer.toString('latin1', offset, offset + length)
  }
  parser[Class.kOnMessageComplete] = (): void => {
    over = true
    seen.end = 'complete'
  }
  for (const result of [() => parser.execute(Buffer.from(data)), () => parser.finish()]) {
    if (over) break
    const answer = result()
    if (!(answer instanceof Error) || over) continue
    seen.end = 'refused'
    seen.code = (answer as { code?: string }).code ?? 'error'
    break
  }
  return seen
}
function pairs(flat: readonly string[]): string[] {
  return Array.from({ length: flat.length / 2 }, (_, i) => `${flat[2 * i]}: ${flat[2 * i + 1]}`)
}

/** '' where both say the same; otherwise what each of them says. */
function difference(our: Verdict, their: Verdict): string {
  const name = ({ end, code }: Verdict): string => (code === '' ? end : `${end} ${code}`)
  if (our.end !== their.end) return `${name(our)} / ${name(their)}`
  if (our.end !== 'complete') return ''
  const parts = (['start', 'headers', 'content'] as const).filter(
    (part) => JSON.stringify(our[part]) !== JSON.stringify(their[part]),
  )
  return parts.length === 0 ? '' : `differs: ${parts.join(' ')}`
}

const numRuns = Number(process.env['DIFFERENTIAL_RUNS'] ?? 4_000)

describe.each(['llhttp', 'http-parser-js'] as const)('beside %s', (peer) => {
  const met = new Set<string>()
  test.each(['request', 'response'] as const)('each damaged %s is read alike, or the table says why not', (mode) => {
    /** The shortest text for each pair of verdicts that nobody has explained. */
    const unexplained: Record<string, string> = {}
    for (const data of fc.sample(wires[mode], { numRuns, seed: 20 })) {
      const found = difference(ours(mode, data), theirs(peer, mode, data))
      if (found === '') continue
      const wire = Buffer.from(data).toString('latin1')
      const why = differenceOf(peer, mode, found, wire)
      if (why !== undefined) met.add(why)
      else if (wire.length < (unexplained[found]?.length ?? Infinity)) unexplained[found] = wire
    }
    expect(unexplained).toEqual({})
  })
  test('every reason in the table occurs', () => {
    expect([...met].sort()).toEqual([...REASONS[peer]].sort())
  })
})
