-- For wrk: GET or PUT of one of 1 000 keys in turn. Arguments: method, path before the key, path behind it, bytes of the body, type.
function init(args)
    local method, before, behind, size, media = args[1], args[2], args[3], tonumber(args[4]), args[5]
    local headers, body = {}, nil
    if media then headers["Content-Type"] = media end
    requests, index = {}, 0
    for number = 0, 999 do
        if size > 0 then
            local head = string.format('{"number":%d,"active":true,"tags":["a","b"],"text":"', number)
            local filler = {}
            math.randomseed(number)
            while #head + #filler < (size + #head) / 2 do filler[#filler + 1] = string.char(math.random(97, 122)) end
            local text = head .. table.concat(filler)
            body = text .. string.rep("abcdefgh", size / 8 + 1):sub(1, size - #text - 2) .. '"}'
        end
        requests[#requests + 1] = wrk.format(method, before .. string.format("k%09d", number) .. behind, headers, body)
    end
end

function request()
    index = index % #requests + 1
    return requests[index]
end
