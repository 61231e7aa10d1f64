// A request through HPACK and back: `node examples/hpack.mjs`
import { HpackDecoder, HpackEncoder } from 'httpcore/hpack'

const [encoder, decoder] = [new HpackEncoder(), new HpackDecoder()]
const request = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'www.example.com'],
  [':path', '/search?q=hpack'],
  ['authorization', 'Bearer 4f1d8a7b'],
  ['user-agent', 'example/1.0'],
]
for (const turn of ['first', 'second']) {
  const block = encoder.encode(request)
  console.log(`${turn}: ${block.length} octets ${Buffer.from(block).toString('hex')}`)
  const fields = decoder.decode(block)
  for (let i = 0; i < fields.length; i++) {
    console.log(`  ${fields.name(i)}: ${fields.isSensitive(i) ? '(never indexed)' : fields.value(i)}`)
  }
}
