// panva's oidc-provider with the accounts and clients that the tests choose. Configuration: JSON on the first line of
// stdin. Then one command a line: "rotate" signs with a new key and forgets the old one. Ends when stdin does.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const config = JSON.parse((await lines.next()).value);
const issuer = `http://127.0.0.1:${config.port}`;

function keys() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { keys: [{ ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: randomUUID() }] };
}

function provider() {
  const made = new Provider(issuer, {
    clients: config.clients,
    jwks: keys(),
    cookies: { keys: ["of the tests alone"] },
    claims: { openid: ["sub"], profile: ["name", "preferred_username", "roles", "agency"] },
    conformIdTokenClaims: config.claims_from_userinfo ?? false,
    pkce: { required: () => true },
    ttl: { AccessToken: config.token_seconds ?? 600, ClientCredentials: config.token_seconds ?? 600, IdToken: 600,
      Session: 3600, Grant: 3600, Interaction: 600, AuthorizationCode: 60 },
    findAccount: (_, id) =>
      config.accounts[id] && { accountId: id, claims: () => ({ sub: id, preferred_username: id, ...config.accounts[id] }) },
    extraTokenClaims: (_, token) => ({
      roles: (token.accountId ? config.accounts[token.accountId] : config.machines[token.clientId])?.roles,
      agency: (token.accountId ? config.accounts[token.accountId] : config.machines[token.clientId])?.agency,
      preferred_username: token.accountId,
    }),
    async loadExistingGrant(ctx) { // a city's own client: nobody is asked for consent
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope("openid profile");
      if (ctx.oidc.params.resource) grant.addResourceScope(ctx.oidc.params.resource, "api");
      await grant.save();
      return grant;
    },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      rpInitiatedLogout: {
        logoutSource: (ctx, form) => { // asks nobody: the console's own button was the question
          ctx.body = `<!doctype html><html lang="en"><title>Out</title><body>${form}<button form="op.logoutForm" name="logout" value="yes">Sign out</button></body></html>`;
        },
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          scope: "api", audience: resource, accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
  });
  made.on("server_error", (_, error) => console.error(error));
  return made;
}

let current = provider();

const page = (uid) => `<!doctype html><html lang="en"><head><title>The city's sign-in</title></head><body><h1>The city's sign-in</h1>
<form method="post" action="/interaction/${uid}"><label>Name <input name="login"></label> <button>Sign in</button></form></body></html>`;

async function interaction(request, response) {
  const uid = request.url.split("/")[2];
  if (request.method === "GET") {
    response.setHeader("content-type", "text/html");
    return response.end(page(uid));
  }
  let body = "";
  for await (const part of request) body += part;
  const login = new URLSearchParams(body).get("login");
  const result = config.accounts[login]
    ? { login: { accountId: login } }
    : { error: "access_denied", error_description: "nobody of that name" };
  return current.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const server = createServer((request, response) => {
  if (!request.url.startsWith("/interaction/")) return current.callback()(request, response);
  return interaction(request, response).catch((error) => response.writeHead(400).end(String(error)));
});
server.listen(config.port, "127.0.0.1", () => console.log(issuer));

for await (const line of lines) {
  if (line === "rotate") {
    current = provider();
    console.log("rotated");
  }
}
process.exit(0);
