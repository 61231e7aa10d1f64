// What a peer says, as an arbitrary: mostly conversations that keep the rules, with now and then a frame that breaks one.
import { fc } from '@fast-check/vitest'
import { FLAG, FRAME } from '../../src/h2/index.ts'
import type { Role } from '../../src/http/index.ts'
import {
  block,
  concat,
  data,
  frame,
  GET,
  goaway,
  headers,
  OK,
  ping,
  POST,
  reset,
  settings,
  SETTINGS_ACK,
  uint32,
  windowUpdate,
} from './support.ts'

const anyStream = fc.constantFrom(0, 1, 1, 1, 3, 3, 5, 2, 7, 2 ** 31 - 1)
const number31 = fc.oneof(fc.constantFrom(0, 1, 100, 65_535, 2 ** 31 - 1), fc.nat(2 ** 31 - 1))
const size = fc.oneof(fc.nat(20), fc.nat(400))
const field = fc.constantFrom(
  ['x-a', 'b'] as const,
  ['content-length', '5'] as const,
  ['X-Upper', 'a'] as const,
  ['connection', 'close'] as const,
  [':status', '100'] as const,
  ['cookie', 'a=b'] as const,
  ['te', 'trailers'] as const,
)
const section = fc.tuple(fc.constantFrom(GET, POST, OK, []), fc.array(field, { maxLength: 3 }))
/** One message, frame by frame: a head, content, mostly its end. `pace`: how far its frames are apart. */
const message = fc.record({
  informational: fc.boolean(),
  extra: fc.array(fc.constantFrom(['x-a', 'b'] as const, ['cookie', 'a=b'] as const), { maxLength: 3 }),
  sizes: fc.array(size, { maxLength: 2 }),
  end: fc.constantFrom('data', 'data', 'trailers', 'trailers', 'reset', 'none'),
  pace: fc.constantFrom(0.1, 0.5, 2),
})
type Message = typeof message extends fc.Arbitrary<infer T> ? T : never
function framesOf(asks: boolean, id: number, { informational, extra, sizes, end }: Message): Uint8Array[] {
  const frames = [headers(id, asks ? POST : OK, false, extra)]
  if (!asks && informational) frames.unshift(headers(id, [[':status', '103']]))
  // Each test asks for HEAD on the third stream.
  if (asks || id !== 5) frames.push(...sizes.map((n) => data(id, n)))
  if (end === 'data') frames.push(data(id, 0, true))
  if (end === 'trailers') frames.push(headers(id, [['x-sum', '1']], true))
  if (end === 'reset') frames.push(reset(id, 8))
  return frames
}
/** What manages a connection, and breaks none. */
const harmless: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.tuple(fc.constantFrom(0, 0, 1), fc.nat(100_000)).map(([id, increment]) => windowUpdate(id, increment + 1)),
  fc.constantFrom(ping(), settings([4, 70_000]), settings([3, 1]), frame(0x42, 0, 0, new Uint8Array(3))),
)
const rude: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.tuple(anyStream, section, fc.boolean()).map(([id, [pseudo, extra], end]) => headers(id, pseudo, end, extra)),
  fc.tuple(anyStream, section, fc.nat(60)).map(([id, [pseudo, extra], cut]) => {
    const whole = block([...pseudo, ...extra])
    const rest = frame(FRAME.CONTINUATION, FLAG.END_HEADERS, id, whole.subarray(cut))
    return concat([frame(FRAME.HEADERS, 0, id, whole.subarray(0, cut)), rest])
  }),
  fc.tuple(anyStream, size, fc.boolean()).map(([id, n, end]) => data(id, n, end)),
  fc
    .tuple(anyStream, fc.nat(20), fc.nat(30))
    .map(([id, n, pad]) => frame(FRAME.DATA, FLAG.PADDED, id, concat([new Uint8Array([pad]), new Uint8Array(n + 10)]))),
  fc.tuple(anyStream, number31).map(([id, increment]) => windowUpdate(id, increment)),
  fc.tuple(anyStream, fc.nat(20)).map(([id, code]) => reset(id, code)),
  fc.tuple(fc.constantFrom(1, 2, 3, 4, 5, 8, 9, 99), number31).map((entry) => settings(entry)),
  fc.constant(SETTINGS_ACK),
  fc.boolean().map((ack) => ping('abcdefgh', ack)),
  fc.tuple(fc.constantFrom(0, 1, 3, 2 ** 31 - 1), fc.nat(20)).map(([last, code]) => goaway(last, code, 'why')),
  anyStream.map((id) => frame(FRAME.PRIORITY, 0, id, new Uint8Array(5))),
  fc
    .tuple(anyStream, fc.nat(9))
    .map(([id, n]) => frame(FRAME.PRIORITY_UPDATE, 0, 0, concat([uint32(id), new Uint8Array(n)]))),
  fc
    .tuple(fc.nat(255), fc.nat(255), anyStream, fc.uint8Array({ maxLength: 40, size: 'max' }))
    .map((parts) => frame(...parts)),
  fc.uint8Array({ maxLength: 12 }),
)

const other = fc.oneof({ weight: 12, arbitrary: harmless }, { weight: 1, arbitrary: rude })

/** To a machine of that role, behind the opening: up to three messages at once on streams that open in order, other frames among them. */
export const peer: fc.Arbitrary<readonly [role: Role, bytes: Uint8Array]> = fc
  .tuple(
    fc.constantFrom<Role>('client', 'server'),
    fc.array(message, { maxLength: 3 }),
    fc.array(fc.tuple(fc.nat(8), other), { maxLength: 8 }),
  )
  .map(([role, messages, others]) => {
    // Behind the head that is sent at the same time.
    const timed = others.map(([at, bytes]) => ({ at: at + 0.05, bytes }))
    for (const [i, one] of messages.entries()) {
      const frames = framesOf(role === 'server', 2 * i + 1, one)
      timed.push(...frames.map((bytes, n) => ({ at: i + n * one.pace, bytes })))
    }
    return [role, concat(timed.sort((a, b) => a.at - b.at).map(({ bytes }) => bytes))]
  })
