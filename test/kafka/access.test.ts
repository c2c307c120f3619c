import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { inspect, promisify } from 'node:util'
import { brokerAccess } from '../../src/engines/kafka/broker-access.ts'
import { kafka } from '../../src/engines/kafka/index.ts'
import { isSemelError, openBus, topic } from '../../src/index.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { rdkafka } from '../rig/kafka/client.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'

const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'semel-kafka-access-'))
const certificate = join(folder, 'cert.pem')
const other = join(folder, 'other-cert.pem')
const adminSecret = 'admin-secret'
const secret = 'app-secret-4711'
let broker: Kafka

before(async () => {
  await makeCertificate('cert.pem', 'key.pem')
  await makeCertificate('other-cert.pem', 'other-key.pem')
  const both = readFileSync(join(folder, 'key.pem'), 'utf8') + readFileSync(certificate, 'utf8')
  writeFileSync(join(folder, 'both.pem'), both)
  const access = brokerAccess(login('PLAIN', 'admin', adminSecret))
  broker = await startKafka({ brokers: 1, settings: brokerSettings, access })
  await addScramUser()
})
after(async () => {
  await broker?.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function makeCertificate(name: string, key: string): Promise<void> {
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
  const files = ['-keyout', join(folder, key), '-out', join(folder, name)]
  await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...names, ...files])
}

const plainModule = 'org.apache.kafka.common.security.plain.PlainLoginModule required'
const brokerSettings = {
  'listener.security.protocol.map': 'PLAINTEXT:SASL_SSL,CONTROLLER:PLAINTEXT',
  'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-512',
  'sasl.mechanism.inter.broker.protocol': 'PLAIN',
  'listener.name.plaintext.plain.sasl.jaas.config': `${plainModule} username="admin" password="${adminSecret}" user_admin="${adminSecret}" user_app="${secret}";`,
  'listener.name.plaintext.scram-sha-512.sasl.jaas.config':
    'org.apache.kafka.common.security.scram.ScramLoginModule required;',
  'ssl.keystore.type': 'PEM',
  'ssl.keystore.location': join(folder, 'both.pem'),
  'ssl.truststore.type': 'PEM',
  'ssl.truststore.location': certificate,
}

/** Only the cluster's own tools can do this. */
async function addScramUser(): Promise<void> {
  const file = join(folder, 'admin.properties')
  const lines = [
    'security.protocol=SASL_SSL',
    'sasl.mechanism=PLAIN',
    `sasl.jaas.config=${plainModule} username="admin" password="${adminSecret}";`,
    'ssl.truststore.type=PEM',
    `ssl.truststore.location=${certificate}`,
  ]
  writeFileSync(file, lines.join('\n'))
  const jars = join(import.meta.dirname, '../../.kafka/lib/*')
  const change = ['--alter', '--add-config', `SCRAM-SHA-512=[password=${secret}]`]
  const user = ['--entity-type', 'users', '--entity-name', 'scram-app']
  const reach = ['--bootstrap-server', broker.bootstrap, '--command-config', file]
  await run('java', ['-cp', jars, 'kafka.admin.ConfigCommand', ...reach, ...change, ...user])
}

function login(mechanism: string, username: string, password: string) {
  return {
    'security.protocol': 'sasl_ssl',
    'sasl.mechanisms': mechanism,
    'sasl.username': username,
    'sasl.password': password,
    'ssl.ca.location': certificate,
  }
}

const orders = topic<{ n: number }>('orders', { partitions: 1, dedup: false })
const totals = topic<{ n: number }>('totals', { partitions: 1, dedup: false })
const operationMs = 10_000
const opening = (settings: Readonly<Record<string, string>>, prefix: string) => {
  const acceptUnsafe = ['replication.factor'] as const
  const reach = { brokers: broker.bootstrap, client: rdkafka, settings, prefix, acceptUnsafe, operationMs }
  return openBus({ engine: kafka(reach), topics: [orders, totals] })
}

for (const [mechanism, user] of [
  ['PLAIN', 'app'],
  ['SCRAM-SHA-512', 'scram-app'],
] as const) {
  test(`over TLS with ${mechanism}: client and settings reader log in, events go through, and so do units`, async () => {
    const bus = await opening(login(mechanism, user, secret), `${user}.`)
    await bus.publish(orders, { n: 1 })
    const found: number[] = []
    for await (const { data } of bus.read(orders)) found.push(data.n)
    assert.deepEqual(found, [1])
    bus.consume(orders, { group: 'g' }, async ({ data }, tx) => tx.emit(totals, { n: data.n + 1 }))
    await until(async () => (await readAll(bus, totals)).length > 0)
    await bus.stop()
  })
}

const right = login('PLAIN', 'app', secret)
const wrong: readonly (readonly [string, Record<string, string>, boolean])[] = [
  ['a wrong password', { ...right, 'sasl.password': `${secret}-not` }, false],
  ['a wrong SCRAM password', login('SCRAM-SHA-512', 'scram-app', `${secret}-not`), false],
  ['an unknown user', login('SCRAM-SHA-512', 'nobody', secret), false],
  ['a mechanism that the broker does not offer', login('SCRAM-SHA-256', 'app', secret), false],
  ['another authority', { ...right, 'ssl.ca.location': other }, false],
  ['no TLS', { ...right, 'security.protocol': 'sasl_plaintext' }, true],
]

for (const [what, settings, retryable] of wrong) {
  test(`${what} is a typed error within the deadline, without the password (K9, U3)`, async () => {
    const begun = performance.now()
    await assert.rejects(opening(settings, 'wrong.'), (error) => {
      assert.ok(isSemelError(error), String(error))
      assert.deepEqual([error.code, error.retryable], ['ENGINE_UNAVAILABLE', retryable], String(error))
      assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes(secret), 'no password is shown')
      return true
    })
    assert.ok(performance.now() - begun < 2 * operationMs)
  })
}
